def render(report, *a):
    return "<p>", "verdict"
