"""Keras beside, for train.py, in an interpreter that has Keras on TensorFlow: each line on stdin asks for one work.

python benchmarks/peer_keras.py resnet34        # a step of ResNet-34 at batch 16, SGD with momentum
python benchmarks/peer_keras.py lenet5 57000    # an epoch of LeNet-5 over so many images at batch 64, Adam
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np
from keras import layers


def unit(x: Any, filters: int, stride: int) -> Any:
    y = layers.Conv2D(filters, 3, stride, "same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, 1, "same", use_bias=False)(y))
    if stride > 1:
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1, stride, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, y]))


def resnet34() -> Any:
    image = keras.Input((224, 224, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 7, 2, "same", use_bias=False)(image)))
    x = layers.MaxPooling2D(3, 2, "same")(x)
    for count, filters in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for number in range(count):
            x = unit(x, filters, 2 if number == 0 and filters > 64 else 1)
    return keras.Model(image, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)))


def lenet5() -> Any:
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            layers.Conv2D(6, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(120, 5, activation="tanh"),
            layers.Flatten(),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10),
        ]
    )


def main() -> None:
    name, number, size, batch = (
        ("resnet34", 16, (224, 224, 3), 16)
        if sys.argv[1] == "resnet34"
        else ("lenet5", int(sys.argv[2]), (32, 32, 1), 64)
    )
    network = resnet34() if name == "resnet34" else lenet5()
    optimizer = keras.optimizers.SGD(0.01, 0.9) if name == "resnet34" else keras.optimizers.Adam(0.004)
    network.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    images, classes = random.standard_normal((number, *size), np.float32), random.integers(0, 10, number)
    print(f"Keras {keras.__version__}, {network.count_params()} parameters", flush=True)
    for _ in sys.stdin:
        if name == "resnet34":
            network.train_on_batch(images, classes)
        else:
            network.fit(images, classes, batch, verbose=0)
        print("done", flush=True)


if __name__ == "__main__":
    main()
