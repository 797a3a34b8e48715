"""A network for tables: fitted, asked, measured, kept."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.refusal import bad_input
from support.tolerance import assert_metric, assert_rounded

pd = pytest.importorskip("pandas")

import fastbp as fb  # noqa: E402
from fastbp.runtime.snapshot import snapshot  # noqa: E402
from fastbp.storage.checkpoint import read, write  # noqa: E402
from fastbp.tabular.fold import cross_validate, fold_of  # noqa: E402

DATA = Path(__file__).parent / "data"


@pytest.fixture
def flowers(rng):
    """Two numbers and a name tell three species apart."""
    kind = np.arange(120) % 3
    return pd.DataFrame({
        "size": rng.normal(kind, 0.1), "weight": rng.normal(-kind, 0.1),
        "side": np.where(np.arange(120) % 2, "north", "south"),
        "species": np.array(["aster", "birch", "cedar"])[kind],
    })  # fmt: skip


@pytest.fixture
def prices(rng):
    """A price in the hundreds, linear in two numbers."""
    a, b = rng.normal(size=(2, 200))
    return {"a": a, "b": b, "unit": ["m"] * 200, "price": 500 + 100 * a - 50 * b}


def model(**options):
    return fb.TableModel(**{"hidden": [16], "epochs": 60, "learning_rate": 0.01, "seed": 0}
                         | options)  # fmt: skip


class TestClassification:
    def test_labels_and_probabilities(self, flowers):
        found = model().fit(flowers, target="species")
        assert found.classes_.tolist() == ["aster", "birch", "cedar"]
        assert found.columns == ("size", "weight", "side") and found.ignored == {}
        assert (found.predict(flowers) == flowers["species"]).mean() > 0.95
        p = found.predict_proba(flowers.drop(columns="species"))
        assert p.shape == (120, 3) and (found.classes_[p.argmax(1)] == found.predict(flowers)).all()
        inputs, _ = found.preprocessing.transform(flowers)
        assert (found.network.predict(inputs) == p).all()

    @pytest.mark.skipif(fb.backend() != "cython", reason="NumPy sums a row by the others")
    def test_what_a_row_is_does_not_depend_on_the_others(self, flowers):
        found = model().fit(flowers, target="species")
        p = found.predict_proba(flowers)
        alone = found.predict_proba({"size": flowers["size"][7], "side": flowers["side"][7],
                                     "weight": flowers["weight"][7]})  # fmt: skip
        assert (alone == p[7:8]).all()

    @pytest.mark.parametrize("labels", [np.array([3, 5]), np.array([False, True])])
    def test_labels_keep_their_type(self, flowers, labels):
        flowers["y"] = labels[(flowers["size"] > 1).astype(int)]
        found = model(epochs=5).fit(flowers, target="y", drop=["species"])
        assert found.classes_.dtype.kind == found.predict(flowers).dtype.kind == labels.dtype.kind
        assert set(found.evaluate(flowers)) >= {"roc_auc", "accuracy"}

    def test_stops_early_and_goes_back(self, flowers, rng):
        flowers["species"] = rng.permutation(flowers["species"])  # nothing to learn
        found = model(epochs=500, patience=3).fit(flowers, target="species")
        history = found.history
        assert history.stopped == "early stopping" and len(history) < 500
        best = min(history["val_loss"])
        assert_rounded(
            found.validation["log_loss"], best, dtype="float32", roundings=16, magnitude=1.0
        )

    def test_all_rows_where_none_are_held_out(self, flowers):
        found = model(validation_split=0, epochs=3).fit(flowers, target="species")
        assert found.validation is None and len(found.history) == 3

    def test_too_few_rows_to_hold_any_out(self):
        found = model(epochs=2).fit({"x": [1, 2], "y": ["a", "b"]}, target="y")
        assert found.validation is None and "no row was held out" in found.notes[0]

    def test_weights_of_classes_by_name(self, flowers):
        weight = {"aster": 1e-6, "birch": 1.0, "cedar": 1.0}
        found = model(class_weight=weight).fit(flowers, target="species")
        assert "aster" not in found.predict(flowers)
        with pytest.raises(
            ValueError, match="class_weight has a class 'rose', classes are 'aster'"
        ):
            model(class_weight={"rose": 1.0}).fit(flowers, target="species")

    def test_rare_classes_are_said(self, flowers):
        flowers["species"] = np.where(np.arange(120) < 5, "rose", "aster")
        found = model(epochs=1).fit(flowers, target="species")
        assert any("classes are uneven: 'aster' 95.8 %, 'rose' 4.17 %" in n for n in found.notes)
        assert not model(epochs=1, class_weight="balanced").fit(flowers, target="species").notes


class TestRegression:
    def test_in_the_unit_of_the_target(self, prices):
        found = model().fit(prices, target="price")
        assert found.classes_ is None and found.ignored == {"unit": "constant"}
        assert np.corrcoef(found.predict(prices), prices["price"])[0, 1] > 0.95
        assert found.evaluate(prices)["mae"] < 50
        with pytest.raises(TypeError, match="predict_proba needs classes; 'price' is a number"):
            found.predict_proba(prices)

    def test_weights_of_classes_that_there_are_not(self, prices):
        with pytest.raises(ValueError, match="class_weight needs classes; 'price' is a number"):
            model(class_weight="balanced").fit(prices, target="price")

    @pytest.mark.parametrize("loss", ["mae", "huber"])
    def test_other_losses(self, prices, loss):
        assert model(loss=loss).fit(prices, target="price").network.loss.name == loss


class TestRows:
    def test_rows_without_a_target_are_left_out_and_said(self, flowers):
        flowers.loc[[3, 60], "species"] = None
        found = model(epochs=1).fit(flowers, target="species")
        assert found.notes[0] == "left out, without 'species': 2 of 120 (data rows 4, 61)"
        assert found.evaluate(flowers).n_rows == 118

    def test_messages_number_the_rows_of_the_table(self, flowers):
        flowers.loc[3, "species"] = None
        flowers["size"] = flowers["size"].astype(object)
        flowers.loc[60, "size"] = "?"
        with pytest.raises(ValueError, match="data row 61 has '\\?'"):
            model().fit(flowers, target="species")

    @bad_input("row that does not fit", "unknown category", "missing cell")
    def test_odd_rows_at_prediction(self, flowers):
        found = model(epochs=1).fit(flowers, target="species")
        new = {"size": [1.0, 2.0], "weight": [0.5, None], "side": ["east", "north"]}
        with pytest.warns(UserWarning, match="'side': 1 cell .* 'east'; .*imputed: 'weight' 1"):
            found.predict(new)
        with pytest.raises(ValueError, match="data row 2 of the table cannot be predicted"):
            found.predict(new | {"size": [1.0, "big"]})

    def test_gaps_like_those_of_training_are_no_warning(self, flowers):
        flowers.loc[::5, "size"] = None
        found = model(epochs=1).fit(flowers, target="species")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found.predict(flowers)


class TestArguments:
    @bad_input("loss of a table")
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"loss": "mse"}, "loss 'mse' does not go with a classification; those that do: cross"),
            ({"task": "regression"}, "target 'species': data row 1 has 'aster'"),
            ({"validation_split": 1.0}, "validation_split must be in"),
            ({"patience": 0}, "patience must be an integer >= 1"),
            ({"optimizer": fb.Adam(), "learning_rate": 0.1}, "an object has its own"),
            ({"activation": "rleu"}, "unknown activation 'rleu'"),
            ({"missing": "median"}, "unknown missing 'median'"),
        ],
    )
    def test_refused(self, flowers, options, message):
        with pytest.raises(ValueError, match=message):
            model(**options).fit(flowers, target="species")

    def test_sizes(self):
        with pytest.raises(TypeError, match="hidden must be a list of sizes, got 8"):
            fb.TableModel(hidden=8)
        with pytest.raises(ValueError, match=r"hidden\[1\] must be >= 1, got 0"):
            fb.TableModel(hidden=[8, 0])

    def test_names_that_are_numbers(self, flowers):
        table = flowers.set_axis(range(4), axis=1)
        found = model(epochs=1).fit(table, target=3, drop=[0])
        assert found.columns == ("1", "2") and len(found.predict(table)) == 120

    def test_columns_that_are_not_there(self, flowers):
        with pytest.raises(ValueError, match=r"no column 'specie' \(did you mean 'species'\?\)"):
            model().fit(flowers, target="specie")
        with pytest.raises(ValueError, match="no column 'x'"):
            model().fit(flowers, target="species", drop=["x"])
        with pytest.raises(ValueError, match="'species' is both the target and dropped"):
            model().fit(flowers, target="species", drop=["species"])

    def test_not_fitted(self):
        assert repr(model()) == "TableModel(hidden=[16]), not fitted"
        with pytest.raises(RuntimeError, match="call fit"):
            model().predict({"a": [1]})

    def test_a_failing_fit_leaves_the_model(self, flowers):
        found = model(epochs=2).fit(flowers, target="species")
        before = found.network

        def fail():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            found.fit(flowers, target="side", on_described=fail)
        assert found.network is before and found.target.name == "species"
        assert repr(found) == "TableModel(classification of 'species' from 3 columns)"


class TestFile:
    @pytest.mark.parametrize("target", ["species", "size"])
    def test_everything_comes_back(self, flowers, tmp_path, target):
        flowers.loc[::7, "weight"] = None
        path = tmp_path / "m.npz"
        found = model(epochs=3, decimal=",", na_values=["?"]).fit(flowers, target=target)
        found.save(path)
        copy = fb.TableModel.load(path)
        assert (copy.predict(flowers) == found.predict(flowers)).all()
        assert copy.preprocessing == found.preprocessing and copy.target == found.target
        assert copy.history["val_loss"] == found.history["val_loss"]
        first, second = copy.evaluate(flowers), found.evaluate(flowers)
        assert first == second and first.baseline == second.baseline

    @bad_input("model of a table")
    def test_a_network_alone_is_refused(self, flowers, tmp_path):
        model(epochs=1).fit(flowers, target="species").save(tmp_path / "m.npz")
        with pytest.raises(fb.ModelFormatError, match=r"use fb\.TableModel\.load\(path\)"):
            fb.Network.load(tmp_path / "m.npz")
        fb.Network([1, 1]).save(tmp_path / "n.npz")
        with pytest.raises(fb.ModelFormatError, match="no description of a table"):
            fb.TableModel.load(tmp_path / "n.npz")

    @pytest.mark.parametrize("name", ["classes", "number"])
    def test_files_of_version_0_1_0(self, name):
        """Written by commit 5215627, with what it predicted itself."""
        found = fb.TableModel.load(DATA / f"{name}_0.1.0.npz")
        flowers = pd.read_csv(DATA / "flowers.csv")
        expected = pd.read_csv(DATA / f"{name}_0.1.0.csv")
        if name == "classes":
            assert (found.predict(flowers) == expected["species"]).all()
            numbers, expected = found.predict_proba(flowers), expected.iloc[:, 1:].to_numpy()
        else:
            numbers, expected = found.predict(flowers), expected["size"].to_numpy()
        # nine digits were printed; another instruction set may round once more
        assert_rounded(numbers, expected, dtype="float32", roundings=8,
                       magnitude=np.abs(expected) + 1)  # fmt: skip
        gaps = {"size": None, "species": None}
        with pytest.raises(ValueError, match="no 'size'|no 'species'"):
            found.predict(flowers.assign(**gaps))

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"preprocessing": {}}, "not a description of a preprocessing"),
            ({"target": {}}, "not a description of a target"),
            ({"prior": [1.0]}, "not the frequencies of 3 classes"),
            ({"prior": "x"}, "could not convert|not the frequencies"),
            ({"history": {"epoch": [0], "loss": []}}, "history: 'loss' has 0 epochs of 1"),
            ({"history": 3}, "iter"),
            ({"target": {"task": "regression", "name": "y", "mean": 0.0, "scale": 1.0}},
             "the description of the table does not fit the network"),
        ],
    )  # fmt: skip
    def test_bad_description(self, flowers, tmp_path, changed, message):
        path = tmp_path / "m.npz"
        found = model(epochs=1).fit(flowers, target="species")
        found.save(path)
        write(path, snapshot(found.network._state, extra=read(path).extra | changed))
        with pytest.raises(fb.ModelFormatError, match=message) as caught:
            fb.TableModel.load(path)
        assert "m.npz" in str(caught.value)


class TestEvaluation:
    def test_by_hand(self, flowers):
        found = model(epochs=1).fit(flowers, target="species")
        names = found.predict(flowers)
        truth = flowers["species"].to_numpy()
        evaluation = found.evaluate(flowers)
        assert evaluation["accuracy"] == (names == truth).mean()
        classes = found.classes_
        expected = [[((truth == a) & (names == b)).sum() for b in classes] for a in classes]
        assert evaluation.confusion.tolist() == expected
        assert evaluation.recall.tolist() == (np.diag(expected) / 40).tolist()
        assert evaluation.baseline["accuracy"] == 40 / 120
        text = str(evaluation)
        assert "most frequent class" in text and "true \\ predicted" in text

    def test_of_numbers(self, prices):
        found = model(epochs=1).fit(prices, target="price")
        evaluation = found.evaluate(prices)
        residual = found.predict(prices) - prices["price"]
        assert_metric(evaluation["rmse"], np.sqrt((residual**2).mean()), name="rmse")
        assert evaluation.residuals["median"] == np.quantile(residual, 0.5)
        assert json.loads(json.dumps(evaluation.to_json()))["rows"] == 200
        assert "prediction - price" in str(evaluation)

    def test_many_classes_show_the_worst(self, rng):
        cells = np.repeat(np.arange(15), 6)
        table = {"x": cells + rng.normal(0, 0.1, 90), "y": [f"c{i}" for i in cells]}
        text = str(model(epochs=1).fit(table, target="y").evaluate(table))
        assert "the 12 of 15 classes with the lowest recall" in text

    def test_without_a_target(self, flowers):
        found = model(epochs=1).fit(flowers, target="species")
        with pytest.raises(ValueError, match="has no column 'species'"):
            found.evaluate(flowers.drop(columns="species"))
        with pytest.raises(ValueError, match="'species' has no value in any row"):
            found.evaluate(flowers.assign(species=None))


class TestFolds:
    def test_each_row_once_and_each_class_alike(self):
        labels = np.repeat([0, 1], [40, 20])
        place = fold_of(60, folds=5, seed=1, labels=labels)
        assert [np.bincount(labels[place == i]).tolist() for i in range(5)] == [[8, 4]] * 5
        assert (place == fold_of(60, folds=5, seed=1, labels=labels)).all()
        assert (place != fold_of(60, folds=5, seed=2, labels=labels)).any()

    def test_cross_validation(self, flowers):
        found = model()
        folds = cross_validate(found, flowers, target="species", folds=3)
        assert [fold.n_rows for fold in folds] == [40, 40, 40]
        assert min(fold["accuracy"] for fold in folds) > 0.9
        assert repr(found).endswith("not fitted")
        with pytest.raises(ValueError, match="130 folds need as many rows, the table has 120"):
            cross_validate(found, flowers, target="species", folds=130)
