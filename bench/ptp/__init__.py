"""The clock against an unmodified ptp4l, each with a clock whose true time is known."""
