"""A gallery of famous landmarks that is drawn, not photographed: it needs no network."""
