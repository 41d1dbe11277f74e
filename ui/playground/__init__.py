"""Gradio pages: trying the loaded model, and asking a question of it."""
