from stream_ml.features.model_file import Learner, ModelFile
from stream_ml.features.plan import CompiledModel, Slot, compile_model
from stream_ml.features.problems import ModelFileError, Problem

__all__ = ["CompiledModel", "Learner", "ModelFile", "ModelFileError", "Problem", "Slot", "compile_model"]
