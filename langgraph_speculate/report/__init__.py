"""A report on what a log of events tells: figures, charts and timelines on one page."""
