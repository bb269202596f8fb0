"""One-shot object detection by matching anchor features (OS2D, arXiv 2003.06800)."""
