"""``speaq plot``."""

from cyclopts import App

from speaq.cli.plot_log import log
from speaq.cli.plot_predicates import predicates

app = App(name="plot", help="Plot trainings and the distributions of data sets.", help_format="plaintext")
app.command(log)
app.command(predicates)
