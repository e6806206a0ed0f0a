"""``speaq plot``."""

from cyclopts import App

from speaq.cli.plot_log import log
from speaq.cli.plot_predicates import predicates

app = App(name="plot", help="Draw data sets and trainings.", help_format="plaintext")
app.command(log)
app.command(predicates)
