"""From trained weights to few values: assign, prune, quantise, train on, fold."""

from nnc.pruning.budgeted import BudgetedSharing
from nnc.pruning.folding import fold_batch_norm
from nnc.pruning.kmeans import code_rest, kmeans, quantise_kmeans
from nnc.pruning.ordering import sort_units
from nnc.pruning.quantised import Quantised
from nnc.pruning.sharing import Rule, assign, freeze, merge, quantise, unfreeze
from nnc.pruning.soft_sharing import SoftWeightSharing

__all__ = [
    "BudgetedSharing", "Quantised", "Rule", "SoftWeightSharing", "assign", "code_rest",
    "fold_batch_norm", "freeze", "kmeans", "merge", "quantise", "quantise_kmeans", "sort_units",
    "unfreeze",
]  # fmt: skip
