"""HTML and SVG elements. Text and attributes are escaped when they are written, whatever class names hold."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

Content = Element | str


def element(tag: str, *children: Content | Iterable[Content], **attributes: object) -> Element:
    """An element.

    Args:
        tag: its name.
        children: elements and text, or iterables of those.
        attributes: ``class_`` is class and ``data_value`` data-value; those that are None are left out.

    Examples:
        >>> html(element("td", "a < b", class_="name"))
        '<td class="name">a &lt; b</td>'
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), _text(value))
    for child in children:
        if isinstance(child, str | Element):
            _append(made, child)
        else:
            for part in child:
                _append(made, part)
    return made


def html(content: Element) -> str:
    """The markup of an element."""
    return tostring(content, encoding="unicode", method="html")


def svg(width: float, height: float, *children: Content | Iterable[Content], label: str) -> Element:
    """A drawing that is as wide as it says, in a frame that scrolls where the page is narrower.

    Args:
        width: in CSS pixels.
        height: likewise.
        children: shapes.
        label: what there is to see, for those who do not.
    """
    drawing = element(
        "svg",
        *children,
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )
    return element("div", drawing, class_="scroll", tabindex=0, role="group", aria_label=label)


def tip(shape: Element, text: str) -> Element:
    """The shape, which says ``text`` under the mouse."""
    SubElement(shape, "title").text = text
    return shape


def _append(parent: Element, child: Content) -> None:
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    else:
        parent.text = (parent.text or "") + child


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
