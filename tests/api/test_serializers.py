"""Serializers share sets of fields, one after the other, and nothing of what they worked on."""

import gc
import weakref

import pytest
from rest_framework import serializers

from api.serializers import InputSerializer, OutputSerializer


class Part(InputSerializer):
    size = serializers.IntegerField(min_value=1)


class Whole(InputSerializer):
    name = serializers.CharField(max_length=5)
    parts = serializers.ListField(child=Part(), default=list)


class Node:
    def __init__(self, name, child=None):
        self.name, self.child = name, child


class NodeShown(OutputSerializer):
    name = serializers.SerializerMethodField()
    child = serializers.SerializerMethodField()

    def get_name(self, node):
        return f"{self.context['greeting']} {node.name}"

    def get_child(self, node):
        if node.child is None:
            return None
        return NodeShown(node.child, context={"greeting": "inner"}).data


def test_a_class_within_itself_renders_with_fields_of_its_own():
    for _ in range(2):
        shown = NodeShown(Node("a", Node("b")), context={"greeting": "outer"})
        assert shown.data == {"name": "outer a", "child": {"name": "inner b", "child": None}}


def test_each_row_of_a_list_is_rendered():
    rows = NodeShown([Node("a"), Node("b")], many=True, context={"greeting": "hello"}).data
    assert [row["name"] for row in rows] == ["hello a", "hello b"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"name": "x", "parts": [{"size": 2}, {"size": 3}]}, {}),
        ({"name": "too long"}, {"name"}),
        ({"name": "x", "parts": [{"size": 0}]}, {"parts"}),
        ({"name": "x", "other": 1}, {"other"}),
        ({}, {"name"}),
        ({"name": "y"}, {}),
    ],
)
def test_a_body_is_judged_by_itself_whatever_came_before(body, errors):
    for before in ({"name": "ok", "parts": [{"size": 9}]}, {"name": "far too long", "z": 0}):
        Whole(data=before).is_valid()
        checked = Whole(data=body)
        assert checked.is_valid() is not bool(errors)
        assert set(checked.errors) == set(errors)
        if not errors:
            assert checked.validated_data == {"parts": [], **body}


def test_nothing_lives_on_through_spare_fields():
    node = Node("a")
    assert NodeShown(node, context={"greeting": "hello"}).data["name"] == "hello a"
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
