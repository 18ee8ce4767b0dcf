"""Predictors: which calls the model will make next. Anything with `core.Predictor`'s two verbs will do."""

from langgraph_speculate.predict.baselines import LastFollower, Never, Order1
from langgraph_speculate.predict.blend import BlendedPredictor
from langgraph_speculate.predict.partitions import PartitionedPredictor, default_predictor

__all__ = ["BlendedPredictor", "LastFollower", "Never", "Order1", "PartitionedPredictor", "default_predictor"]
