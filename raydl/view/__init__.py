"""Events, made visible: a bar, lines, JSON, a widget, HTML."""
