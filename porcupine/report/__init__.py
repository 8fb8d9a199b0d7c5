"""Results for people, as Markdown, as the headline of a run, and as pages that need nothing else.

headline       the figures to compare two runs by, for `dvc metrics diff`
occupancy      distortion against uniformity; a metric at each bitrate beside its floors
certificates   what is certified of each variant, or why nothing
attacks        what attackers learn: who, what else, about whom, from how much
page           all of it on one page
kmeans_audio   the second system's page
index          all results of a run as one HTML page, from the Markdown
audit          sentences and HTML page of an audit
html, terms    the engine of both, and the words that they explain
cells          numbers with their intervals
"""
