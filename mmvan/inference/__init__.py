"""Prediction on images, folders, videos and cameras, by a model of any of the tasks."""
