"""Infrastructure as Bicep, what writes its data files, and what holds it to the code."""
