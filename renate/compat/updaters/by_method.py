"""One class for each of Renate's methods; one that this package hasn't is refused by name."""

from renate.compat.updaters.model_updater import SingleTrainingLoopUpdater


class FineTuningModelUpdater(SingleTrainingLoopUpdater):
    """Trains on the new data alone."""

    method = "FineTuning"


class JointModelUpdater(SingleTrainingLoopUpdater):
    """Trains on all data so far."""

    method = "Joint"


class ExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Replays past examples."""

    method = "ER"


class DarkExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Replays past examples and outputs."""

    method = "DER"


class PooledOutputDistillationExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Distils what layers give."""

    method = "POD-ER"


class CLSExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Replays with a stable and a plastic copy of the network."""

    method = "CLS-ER"


class SuperExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Renate's several variants of replay in one."""

    method = "Super-ER"


class OfflineExperienceReplayModelUpdater(SingleTrainingLoopUpdater):
    """Replays what earlier updates left in the memory."""

    method = "Offline-ER"


class RepeatedDistillationModelUpdater(SingleTrainingLoopUpdater):
    """Distils an expert of the new data and the network of before."""

    method = "RD"


class GDumbModelUpdater(SingleTrainingLoopUpdater):
    """Trains anew on a balanced memory."""

    method = "GDumb"


class LearningToPromptModelUpdater(SingleTrainingLoopUpdater):
    """Trains prompts of a frozen transformer."""

    method = "LearningToPrompt"


class LearningToPromptReplayModelUpdater(SingleTrainingLoopUpdater):
    """The same, with replay."""

    method = "LearningToPromptReplay"


class SPeftModelUpdater(SingleTrainingLoopUpdater):
    """Trains prompts of each domain."""

    method = "SPeft"


class ExperienceReplayAvalancheModelUpdater(SingleTrainingLoopUpdater):
    """Avalanche's experience replay."""

    method = "Avalanche-ER"


class ElasticWeightConsolidationModelUpdater(SingleTrainingLoopUpdater):
    """Avalanche's EWC."""

    method = "Avalanche-EWC"


class LearningWithoutForgettingModelUpdater(SingleTrainingLoopUpdater):
    """Avalanche's LwF."""

    method = "Avalanche-LwF"


class ICaRLModelUpdater(SingleTrainingLoopUpdater):
    """Avalanche's iCaRL."""

    method = "Avalanche-iCaRL"
