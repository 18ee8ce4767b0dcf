"""What the HTML pages of this package share: their frame, their colours, their tables and charts."""
