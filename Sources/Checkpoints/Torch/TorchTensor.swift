/// A run of elements in a torch checkpoint, on which tensors are views.
struct TorchStorage: Equatable {
  /// The name of its entry below `data/`.
  let key: String
  let type: ElementType
  let elementCount: Int
}

/// A view on a storage.
struct TorchTensor: Equatable {
  let storage: TorchStorage
  /// The position of its first element in the storage.
  let offset: Int
  let shape: [Int]
  /// The stride of each dimension in the storage.
  let strides: [Int]

  /// Nil unless every element lies in the storage and no element is there twice over: the tensor
  /// has at most as many elements as the storage.
  init?(storage: TorchStorage, offset: Int, shape: [Int], strides: [Int]) {
    guard shape.count == strides.count, offset >= 0, (shape + strides).allSatisfy({ $0 >= 0 }),
      let entry = TensorEntry(name: "", type: storage.type, shape: shape),
      entry.elementCount <= storage.elementCount
    else { return nil }
    self.storage = storage
    self.offset = offset
    self.shape = shape
    self.strides = strides
    guard entry.elementCount > 0 else { return }
    var last = offset
    for (size, stride) in zip(shape, strides) {
      let (distance, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, carry) = last.addingReportingOverflow(distance)
      guard !overflow, !carry else { return nil }
      last = sum
    }
    guard last < storage.elementCount else { return nil }
  }

  /// Whether the elements are contiguous in the storage, in row-major order.
  var isContiguous: Bool {
    guard !shape.contains(0) else { return true }
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() {
      guard size == 1 || stride == expected else { return false }
      expected *= size
    }
    return true
  }

  /// Calls `body` with the position in the storage of each element, in row-major order.
  func forEachPosition(_ body: (Int) -> Void) {
    guard !shape.contains(0) else { return }
    var indices = [Int](repeating: 0, count: shape.count)
    var position = offset
    while true {
      body(position)
      var dimension = shape.count - 1
      while dimension >= 0, indices[dimension] == shape[dimension] - 1 {
        position -= indices[dimension] * strides[dimension]
        indices[dimension] = 0
        dimension -= 1
      }
      guard dimension >= 0 else { return }
      indices[dimension] += 1
      position += strides[dimension]
    }
  }
}
