import json

import numpy as np
import pytest
import torch
from golden_cases import Golden

from baselines.detector_retrieval.retrieval.mining import draw_epoch, hardest_negatives
from baselines.detector_retrieval.retrieval.ranking import Relevance, evaluate_ranking, rank_by_scores


@pytest.mark.reads("baselines/retrieval_mining.npz")
def test_tuples_of_an_epoch(golden: Golden) -> None:
    case = golden("baselines/retrieval_mining.npz")
    vectors, clusters = torch.from_numpy(case["vectors"]).T.contiguous(), torch.from_numpy(case["clusters"])
    generator = torch.Generator().manual_seed(int(case["torch_seed"]))
    draw = draw_epoch(
        torch.from_numpy(case["qpool"]),
        torch.from_numpy(case["ppool"]),
        len(clusters),
        int(case["qsize"]),
        int(case["poolsize"]),
        generator,
    )
    places, distances = hardest_negatives(
        vectors[draw.query_Q], clusters[draw.query_Q], vectors[draw.pool_N], clusters[draw.pool_N], int(case["nnum"])
    )

    np.testing.assert_array_equal(draw.query_Q, case["qidxs"])
    np.testing.assert_array_equal(draw.positive_Q, case["pidxs"])
    np.testing.assert_array_equal(draw.pool_N, case["permutation_pool"][: len(draw.pool_N)])
    np.testing.assert_array_equal(draw.pool_N[places], case["nidxs"])
    np.testing.assert_allclose(distances.mean(), case["avg_negative_distance"], rtol=1e-5)


@pytest.mark.reads("baselines/retrieval_map.npz")
def test_average_precision(golden: Golden) -> None:
    case = golden("baselines/retrieval_map.npz")
    relevance = [Relevance(entry["ok"], entry["junk"]) for entry in json.loads(str(case["gnd"]))]
    result = evaluate_ranking(rank_by_scores(case["scores"]), relevance, case["kappas"].tolist())

    np.testing.assert_allclose(result.mean_average_precision, case["f64_map"], rtol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(result.average_precision_Q, nan=-1), case["f64_aps"], rtol=1e-9)
    np.testing.assert_allclose(list(result.precision_at.values()), case["f64_mean_precision"], rtol=1e-9)
