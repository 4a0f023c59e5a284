"""What people look at: the offline report and the live view of a run."""
