import Autograd
import Files

/// Arrays that are accessed sequentially, in memory or in a file.
struct ArrayStore {
  private let shapes: [[Int]]
  /// Empty if a file holds them.
  private var tensors: [Tensor]
  /// Nil if there is none.
  private let file: ScratchFile?
  private let isPlanned: Bool
  /// The file offset of each.
  private let offsets: [Int]

  /// Arrays of zeros.
  ///
  init(zerosOf shapes: [[Int]], in place: AdamW.MomentPlace) throws(FileError) {
    self.shapes = shapes
    var end = 0
    offsets = shapes.map { shape in
      defer { end += shape.reduce(MemoryLayout<Float>.stride, *) }
      return end
    }
    isPlanned = place == .plannedDisk
    file = if case .disk(let folder) = place { try ScratchFile(in: folder, size: end) } else { nil }
    tensors = place == .memory ? shapes.map { Tensor(repeating: 0, shape: $0) } : []
  }

  /// The array at `index`; to be handed to `store` if it is changed.
  func load(_ index: Int) throws(FileError) -> Tensor {
    if isPlanned { return Tensor(shape: shapes[index]) { $0.update(repeating: 0) } }
    guard let file else { return tensors[index] }
    return try Tensor(shape: shapes[index]) { buffer throws(FileError) in
      try file.read(at: offsets[index], into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  mutating func store(_ tensor: Tensor, at index: Int) throws(FileError) {
    guard !isPlanned else { return }
    guard let file else {
      tensors[index] = tensor
      return
    }
    let offset = offsets[index]
    try tensor.withValues { values throws(FileError) in
      try file.write(UnsafeRawBufferPointer(values), at: offset)
    }
  }
}
