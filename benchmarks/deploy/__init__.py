"""What people notice while the app is deployed: under load, with bad versions, and when the deploy dies."""
