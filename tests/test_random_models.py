"""Right for every model: what must hold is tried on models drawn at random (``models.py``)."""

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from misfits import anything, misfits
from models import cases
from properties import PROPERTIES, must_be_refused, refused_or

quickly = settings(max_examples=150, suppress_health_check=list(HealthCheck))
long = settings(max_examples=3000, suppress_health_check=list(HealthCheck))


def right(case):
    """Try all properties; a failure says which."""
    for holds in PROPERTIES:
        try:
            holds(case)
        except Exception:
            hypothesis.note(f"It does not hold: {holds.__doc__}")
            raise


def right_or_refused(case):
    if not refused_or(case):
        right(case)


@given(cases())
@quickly
def test_every_legal_model_is_right(case):
    right(case)


@given(anything())
@quickly
def test_layers_put_together_at_random_are_refused_by_name_or_right(case):
    right_or_refused(case)


@given(misfits())
@quickly
def test_a_part_that_does_not_fit_is_refused_by_name(misfit):
    must_be_refused(misfit)


@pytest.mark.slow
@given(cases())
@long
def test_3000_legal_models_are_right(case):
    right(case)


@pytest.mark.slow
@given(anything())
@long
def test_3000_models_put_together_at_random_are_refused_by_name_or_right(case):
    right_or_refused(case)


@pytest.mark.slow
@given(misfits())
@long
def test_3000_misfits_are_refused_by_name(misfit):
    must_be_refused(misfit)
