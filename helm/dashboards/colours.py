"""
Colours that people see apart who do not see all of them.

Okabe and Ito, Color Universal Design (2008): https://jfly.uni-koeln.de/color/. What a colour says, a word
or a figure beside it says too.
"""

from __future__ import annotations

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
# Neither light nor dark: seen on both of Grafana's themes.
GREY = "#8E8E8E"

# Never green against red.
GOOD, SOSO, BAD, NEUTRAL = BLUE, ORANGE, VERMILLION, GREY
CURVES = (SKY, ORANGE, GREEN, PURPLE, VERMILLION, BLUE, YELLOW)
PALETTE = frozenset({*CURVES, GREY})
