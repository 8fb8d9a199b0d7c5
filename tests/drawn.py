"""What can be read off a figure."""


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]
