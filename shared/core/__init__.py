"""What every room uses: errors, the clock, durations, sizes, globs, tasks, fields."""
