"""Pictures and tables of a notebook: SVG and HTML without script, legible on light and on dark."""
