"""Stanford Dogs, in the layout its makers distribute."""

from typing import Any

import mat4py  # type: ignore[import-untyped]
from mmengine import get_file_backend
from mmpretrain.datasets import BaseDataset

from mmcds.registry import DATASETS
from mmcds.utils.errors import unknown_name

SPLITS = ('train', 'test')

#: In the order of the labels: the folders' names behind the WordNet number, with spaces.
CLASSES = (
    *('Chihuahua', 'Japanese spaniel', 'Maltese dog', 'Pekinese', 'Shih-Tzu', 'Blenheim spaniel', 'papillon'),
    *('toy terrier', 'Rhodesian ridgeback', 'Afghan hound', 'basset', 'beagle', 'bloodhound', 'bluetick'),
    *('black-and-tan coonhound', 'Walker hound', 'English foxhound', 'redbone', 'borzoi', 'Irish wolfhound'),
    *('Italian greyhound', 'whippet', 'Ibizan hound', 'Norwegian elkhound', 'otterhound', 'Saluki'),
    *('Scottish deerhound', 'Weimaraner', 'Staffordshire bullterrier', 'American Staffordshire terrier'),
    *('Bedlington terrier', 'Border terrier', 'Kerry blue terrier', 'Irish terrier', 'Norfolk terrier'),
    *('Norwich terrier', 'Yorkshire terrier', 'wire-haired fox terrier', 'Lakeland terrier', 'Sealyham terrier'),
    *('Airedale', 'cairn', 'Australian terrier', 'Dandie Dinmont', 'Boston bull', 'miniature schnauzer'),
    *('giant schnauzer', 'standard schnauzer', 'Scotch terrier', 'Tibetan terrier', 'silky terrier'),
    *('soft-coated wheaten terrier', 'West Highland white terrier', 'Lhasa', 'flat-coated retriever'),
    *('curly-coated retriever', 'golden retriever', 'Labrador retriever', 'Chesapeake Bay retriever'),
    *('German short-haired pointer', 'vizsla', 'English setter', 'Irish setter', 'Gordon setter'),
    *('Brittany spaniel', 'clumber', 'English springer', 'Welsh springer spaniel', 'cocker spaniel'),
    *('Sussex spaniel', 'Irish water spaniel', 'kuvasz', 'schipperke', 'groenendael', 'malinois', 'briard'),
    *('kelpie', 'komondor', 'Old English sheepdog', 'Shetland sheepdog', 'collie', 'Border collie'),
    *('Bouvier des Flandres', 'Rottweiler', 'German shepherd', 'Doberman', 'miniature pinscher'),
    *('Greater Swiss Mountain dog', 'Bernese mountain dog', 'Appenzeller', 'EntleBucher', 'boxer'),
    *('bull mastiff', 'Tibetan mastiff', 'French bulldog', 'Great Dane', 'Saint Bernard', 'Eskimo dog'),
    *('malamute', 'Siberian husky', 'affenpinscher', 'basenji', 'pug', 'Leonberg', 'Newfoundland'),
    *('Great Pyrenees', 'Samoyed', 'Pomeranian', 'chow', 'keeshond', 'Brabancon griffon', 'Pembroke'),
    *('Cardigan', 'toy poodle', 'miniature poodle', 'standard poodle', 'Mexican hairless', 'dingo', 'dhole'),
    'African hunting dog',
)


@DATASETS.register_module()
class StanfordDogs(BaseDataset):
    """The `Stanford Dogs <http://vision.stanford.edu/aditya86/ImageNetDogs/>`_ data set.

    120 breeds, 12000 training and 8580 test images. What ``images.tar`` and ``lists.tar`` contain::

        data_root
        ├── Images
        │   ├── n02085620-Chihuahua
        │   │   ├── n02085620_7.jpg
        │   │   └── ...
        │   └── ...
        └── lists
            ├── train_list.mat
            └── test_list.mat

    The lists may also lie in ``data_root`` itself, where their archive unpacks them. The bounding boxes of
    ``annotation.tar`` are not needed.

    Args:
        data_root (str): The folder above ``Images``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: As mmpretrain's BaseDataset takes them.

    Raises:
        ValueError: If there is no such split.
        FileNotFoundError: If the list of the split is in neither place.

    Example:
        >>> dataset = dict(type='mmcds.StanfordDogs', data_root='data/stanford_dogs', split='train', pipeline=[])
    """

    METAINFO = {'classes': CLASSES}

    def __init__(self, data_root: str, split: str = 'train', **kwargs: Any) -> None:
        if split not in SPLITS:
            raise unknown_name('dataset.split', split, SPLITS)
        self.split = split
        self.backend = get_file_backend(data_root, enable_singleton=True)
        places = [self.backend.join_path('lists', f'{split}_list.mat'), f'{split}_list.mat']
        found = [each for each in places if self.backend.exists(self.backend.join_path(data_root, each))]
        if not found:
            raise FileNotFoundError(
                f'StanfordDogs: {self.backend.join_path(data_root, places[0])} does not exist; unpack lists.tar there'
            )
        kwargs.setdefault('test_mode', split == 'test')
        super().__init__(ann_file=found[0], data_root=data_root, data_prefix='Images', **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Paths and labels (0 to 119) of the split.

        Raises:
            ValueError: If the list is not as its makers distribute it.
        """
        content = mat4py.loadmat(self.ann_file)
        files, labels = (_column(content.get(name)) for name in ('file_list', 'labels'))
        if not files or len(files) != len(labels):
            raise ValueError(
                f'{self.ann_file}: expected the lists file_list and labels, of one length; found {sorted(content)}; '
                'unpack lists.tar again'
            )
        data_list = []
        for file, label in zip(files, labels, strict=True):
            if not 1 <= label <= len(CLASSES):
                raise ValueError(f'{self.ann_file}: {file} has label {label:g}, out of 1 to {len(CLASSES)}')
            path = self.backend.join_path(self.img_prefix, file)
            data_list.append(dict(img_path=path, gt_label=int(label) - 1))
        return data_list

    def extra_repr(self) -> list[str]:
        """Extra lines of the data set's ``repr``."""
        return [f'Root of dataset: \t{self.data_root}']


def _column(value: Any) -> list[Any]:
    """A column of MATLAB's, which mat4py gives as a list of lists of one; of anything else, an empty list."""
    return [each[0] if isinstance(each, list) else each for each in value] if isinstance(value, list) else []
