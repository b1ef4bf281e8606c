"""What an offer is and how it is kept. Imports nothing of ours."""
