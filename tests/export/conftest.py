"""All graphs run twice: as ONNX Runtime runs them, and with recurrent layers in the kernel as in large jobs."""

from typing import Any

import pytest

from toolkit import runtime
from toolkit.kernels import prediction
from toolkit.runtime import Runtime


@pytest.fixture(params=["few", "many"], autouse=True)
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "few":
        return request.param
    if not prediction.load()[0]:
        pytest.skip("there is no kernel")
    run = Runtime.run

    def run_as_of_many(self: Runtime, *args: Any) -> dict[str, Any]:
        self.expect(0)
        return run(self, *args)

    monkeypatch.setattr(runtime, "MANY", 0)
    monkeypatch.setattr(Runtime, "run", run_as_of_many)
    return request.param
