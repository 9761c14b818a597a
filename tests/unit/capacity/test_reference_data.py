"""The reference data and the demo's scenario: what must be true of the files themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from accounts.credit_code import problem_with
from exchange.topology.distance import great_circle_km, link_rtt_us
from exchange.topology.paths import LinkTerms, Network

ROOT = Path(__file__).resolve().parents[3]
HENAN = [
    "zhengzhou", "kaifeng", "luoyang", "pingdingshan", "anyang", "hebi", "xinxiang", "jiaozuo",
    "puyang", "xuchang", "luohe", "sanmenxia", "nanyang", "shangqiu", "xinyang", "zhoukou",
    "zhumadian", "jiyuan",
]  # fmt: skip


def rows(path: str, name: str) -> list[dict]:
    return json.loads((ROOT / path).read_text("utf-8"))[name]


REGIONS = {r["code"]: r for r in rows("exchange/topology/data/regions.json", "regions")}
LINKS = rows("exchange/topology/data/links.json", "links")
MODELS = {m["code"]: m for m in rows("exchange/capacity/data/device_models.json", "device_models")}
GRADES = {g["code"]: g for g in rows("exchange/capacity/data/grades.json", "grades")}
HENAN_SCENARIO = json.loads((ROOT / "demo/data/henan.json").read_text("utf-8"))


def network() -> Network:
    links = []
    for number, link in enumerate(LINKS, start=1):
        a, b = REGIONS[link["a"]], REGIONS[link["b"]]
        km = great_circle_km(a["lat"], a["lon"], b["lat"], b["lon"])
        price = int(Decimal(link["price_per_gb"]) * 1_000_000)
        links.append(LinkTerms(number, a["code"], b["code"], link_rtt_us(km), price))
    return Network(links)


class TestRegions:
    def test_the_roles_of_the_plan(self):
        by_role = {c: REGIONS[c]["role"] for c in HENAN}
        assert by_role.pop("zhengzhou") == "core"
        poles = {code for code, role in by_role.items() if role == "pole"}
        assert poles == {"luoyang", "hebi", "shangqiu", "xinyang"}
        assert Counter(by_role.values()) == {"pole": 4, "point": 13}

    def test_the_tree_has_one_root_and_parents_come_first(self):
        seen = set()
        for code, region in REGIONS.items():
            assert region["parent"] is None or region["parent"] in seen
            seen.add(code)
        assert [c for c, r in REGIONS.items() if r["parent"] is None] == ["cn"]
        assert {REGIONS[c]["parent"] for c in HENAN} == {"henan"}

    def test_the_eight_hubs_and_the_corridor(self):
        hubs = {code for code, region in REGIONS.items() if region["role"] == "hub"}
        assert hubs == {
            "zhangjiakou", "horinger", "qingpu", "wuhu", "shaoguan", "chongqing", "chengdu",
            "guian", "qingyang", "zhongwei",
        }  # fmt: skip
        pairs = {frozenset((link["a"], link["b"])) for link in LINKS}
        assert {frozenset(("zhengzhou", "qingyang")), frozenset(("qingyang", "hami"))} <= pairs

    def test_each_region_has_a_source(self):
        assert all(region["source"] for region in REGIONS.values())


class TestLinks:
    def test_each_pair_once_between_known_regions(self):
        pairs = [frozenset((link["a"], link["b"])) for link in LINKS]
        assert len(set(pairs)) == len(pairs)
        assert all(len(pair) == 2 and pair <= REGIONS.keys() for pair in pairs)
        assert {link["bandwidth_gbps"] for link in LINKS} == {400, 800}
        assert all(link["source"] for link in LINKS)

    def test_each_city_is_reached(self):
        reach = network()
        cities = [code for code, region in REGIONS.items() if region["kind"] == "city"]
        assert all(reach.path("zhengzhou", city, None) for city in cities)

    def test_the_circles_that_distance_permits(self):
        reach = network()

        def within(a: str, b: str, milliseconds: float) -> bool:
            return reach.path(a, b, int(milliseconds * 1000)) is not None

        assert within("zhengzhou", "zhengzhou", 1)
        assert within("zhengzhou", "zhengzhou-airport", 1)
        assert within("zhengzhou", "luoyang", 3)
        assert all(within("zhengzhou", city, 5) for city in HENAN)
        hubs = [code for code, region in REGIONS.items() if region["role"] == "hub"]
        assert all(within("zhengzhou", hub, 20) for hub in hubs)

    def test_what_distance_does_not_permit(self):
        """Corner to corner of the province is more than 5 ms, and Hami lies beyond 20 ms: the
        plan's circles are drawn around Zhengzhou."""
        reach = network()
        too_far = {
            (a, b)
            for i, a in enumerate(HENAN)
            for b in HENAN[i + 1 :]
            if reach.path(a, b, 5_000) is None
        }
        assert ("anyang", "xinyang") in too_far
        assert not any("zhengzhou" in pair for pair in too_far)
        direct_km = great_circle_km(
            *(REGIONS["zhengzhou"][k] for k in ("lat", "lon")),
            *(REGIONS["hami"][k] for k in ("lat", "lon")),
        )
        assert reach.path("zhengzhou", "hami", 20_000) is None
        assert link_rtt_us(direct_km) > 20_000


class TestCatalogue:
    def test_at_least_twenty_devices_domestic_ones_among_them(self):
        assert len(MODELS) >= 20
        vendors = {model["vendor"] for model in MODELS.values() if model["domestic"]}
        assert {"Huawei", "Hygon", "Cambricon", "Moore Threads"} <= vendors
        assert sum(model["kind"] == "qpu" for model in MODELS.values()) >= 2

    @pytest.mark.parametrize("code", MODELS)
    def test_every_figure_has_a_source_and_a_kind(self, code):
        figures = MODELS[code]["figures"]
        assert figures
        for figure in figures:
            assert len(figure["source"]) > 10
            assert figure["kind"] in {"vendor", "measured", "verified"}
            value = Decimal(figure["value"])
            assert value > 0
            assert -value.as_tuple().exponent <= 3
        stated = [(figure["quantity"], figure["kind"]) for figure in figures]
        assert len(set(stated)) == len(stated)

    def test_grades_name_what_exists_and_say_so_in_their_code(self):
        for code, grade in GRADES.items():
            resource_class, model, _shape = code.split(".")
            assert (resource_class, model) == (grade["resource_class"], grade["device_model"])
            assert model in MODELS
            assert grade["book"] == resource_class
        classes = {"general", "intelligent", "super", "edge", "quantum"}
        assert {grade["resource_class"] for grade in GRADES.values()} == classes


class TestScenario:
    def test_its_size(self):
        assert len(HENAN_SCENARIO["providers"]) == 12
        assert len(HENAN_SCENARIO["buyers"]) == 30
        assert len(HENAN_SCENARIO["centres"]) >= 40
        assert len(HENAN_SCENARIO["pools"]) >= 150
        assert HENAN_SCENARIO["demand"]["orders"] == 5_000

    def test_organisations_are_marked_as_invented_and_have_valid_codes(self):
        organisations = [
            *HENAN_SCENARIO["providers"], *HENAN_SCENARIO["carriers"], *HENAN_SCENARIO["buyers"]
        ]  # fmt: skip
        assert all(organisation["invented"] for organisation in organisations)
        codes = [organisation["credit_code"] for organisation in organisations]
        assert [problem_with(code) for code in codes] == [None] * len(codes)
        assert len(set(codes)) == len(codes)

    def test_all_names_are_known(self):
        providers = {provider["code"] for provider in HENAN_SCENARIO["providers"]}
        centres = {centre["code"] for centre in HENAN_SCENARIO["centres"]}
        for centre in HENAN_SCENARIO["centres"]:
            assert centre["provider"] in providers
            assert REGIONS[centre["region"]]["kind"] == "city"
        for pool in HENAN_SCENARIO["pools"]:
            assert pool["centre"] in centres
            assert pool["grade"] in GRADES
        for buyer in HENAN_SCENARIO["buyers"]:
            assert all(set(want["grades"]) <= GRADES.keys() for want in buyer["wants"])
        assert {link["carrier"] for link in LINKS} == {
            carrier["code"] for carrier in HENAN_SCENARIO["carriers"]
        }

    def test_prices_have_their_reasoning(self):
        for pool in HENAN_SCENARIO["pools"]:
            assert "anchor" in pool["price_reasoning"]
            prices = pool["offer"]["prices_per_unit_hour"]
            assert len(prices) in (1, 24)
            assert all(Decimal(price) > 0 for price in prices)

    def test_demand_is_meaningful_beside_supply(self):
        for demand in HENAN_SCENARIO["demand"]["classes"].values():
            share = demand["demand_unit_hours"] / demand["supply_unit_hours"]
            assert 0.70 <= share <= 0.85
            ratio = Decimal(demand["mean_unit_hours_of_wants"]) / Decimal(
                demand["mean_unit_hours_per_order"]
            )
            assert Decimal("0.8") < ratio < Decimal("1.2")

    def test_the_file_is_what_its_rows_give(self, tmp_path):
        before = (ROOT / "demo/data/henan.json").read_bytes()
        for name in ("build_henan.py", "henan_rows.json"):
            target = tmp_path / "demo" / "data" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / "demo/data" / name).read_bytes())
        catalogue = tmp_path / "exchange" / "capacity" / "data"
        catalogue.mkdir(parents=True)
        source = ROOT / "exchange/capacity/data/device_models.json"
        (catalogue / source.name).write_bytes(source.read_bytes())
        subprocess.run([sys.executable, tmp_path / "demo/data/build_henan.py"], check=True)
        assert (tmp_path / "demo/data/henan.json").read_bytes() == before
