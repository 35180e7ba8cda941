"""Tests of the template repository; the generated project brings its own."""
