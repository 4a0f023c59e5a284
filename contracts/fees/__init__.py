"""`lading fees`: what anchoring and settling cost, by the chains' documented formulas."""
