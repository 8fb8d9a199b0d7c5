"""Results for people, as Markdown and as the headline of a run.

headline       the figures to compare two runs by, for `dvc metrics diff`
occupancy      distortion against uniformity; a metric at each bitrate beside its floors
certificates   what is certified of each variant, or why nothing
attacks        what attackers learn: who, what else, about whom, from how much
page           all of it on one page
"""
