"""The frozen values that repositories take and give."""
