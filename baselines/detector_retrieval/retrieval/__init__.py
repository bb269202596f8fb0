"""Image retrieval: a unit descriptor per picture, learned so that a crop lies near the picture of its class."""
