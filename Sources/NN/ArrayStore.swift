import Autograd
import Backends
import Files

/// Arrays that are accessed sequentially, in memory or in a file.
struct ArrayStore {
  private enum Storage {
    case memory([Tensor])
    /// Nil while planning, when no numbers are kept.
    case disk(ScratchFile?)
  }

  private let shapes: [[Int]]
  private var storage: Storage
  /// The file offset of each.
  private let offsets: [Int]

  /// Creates arrays of zeros; on a planning backend those on a disk take no file.
  init(zerosOf shapes: [[Int]], in place: AdamW.MomentPlace) throws(FileError) {
    self.shapes = shapes
    var end = 0
    offsets = shapes.map { shape in
      defer { end += shape.reduce(MemoryLayout<Float>.stride, *) }
      return end
    }
    switch place {
    case .memory: storage = .memory(shapes.map { Tensor(repeating: 0, shape: $0) })
    case .disk where CurrentBackend.value is PlanningBackend: storage = .disk(nil)
    case .disk(let folder): storage = .disk(try ScratchFile(in: folder, size: end))
    }
  }

  /// The array at `index`; to be handed to `store` if it is changed.
  func load(_ index: Int) throws(FileError) -> Tensor {
    switch storage {
    case .memory(let tensors): return tensors[index]
    case .disk(let file):
      return try Tensor(shape: shapes[index]) { buffer throws(FileError) in
        try file?.read(at: offsets[index], into: UnsafeMutableRawBufferPointer(buffer))
      }
    }
  }

  mutating func store(_ tensor: Tensor, at index: Int) throws(FileError) {
    switch storage {
    case .memory(var tensors):
      // Held once, or it would be copied.
      storage = .memory([])
      tensors[index] = tensor
      storage = .memory(tensors)
    case .disk(let file):
      guard let file else { return }
      let offset = offsets[index]
      try tensor.withValues { values throws(FileError) in
        try file.write(UnsafeRawBufferPointer(values), at: offset)
      }
    }
  }
}
