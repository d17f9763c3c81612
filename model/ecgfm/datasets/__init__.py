"""Official layouts of public ECG data sets, each read as it is published: folder -> whose recording, labels, fold."""
