"""From rankings to an answer: fusion, verdicts, calibration, metrics, projections. Pure numbers."""
