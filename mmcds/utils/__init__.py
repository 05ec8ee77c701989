"""Small helpers that know nothing of CDS."""
