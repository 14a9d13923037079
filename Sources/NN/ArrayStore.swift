import Autograd
import Files

/// Arrays that are looked at one after the other: in memory, or in a file.
struct ArrayStore {
  private let shapes: [[Int]]
  /// None where a file holds them.
  private var tensors: [Tensor]
  private let file: ScratchFile?
  /// Where each begins in the file.
  private let offsets: [Int]

  /// Arrays of zeros.
  ///
  /// - Parameter folder: on whose disk they are kept; in memory if nil
  init(zerosOf shapes: [[Int]], onDiskOf folder: String?) throws(FileError) {
    self.shapes = shapes
    var end = 0
    offsets = shapes.map { shape in
      defer { end += shape.reduce(MemoryLayout<Float>.stride, *) }
      return end
    }
    if let folder {
      file = try ScratchFile(in: folder, size: end)
      tensors = []
    } else {
      file = nil
      tensors = shapes.map { Tensor(repeating: 0, shape: $0) }
    }
  }

  /// The array at `index`; to be handed to `store` if it is changed.
  func load(_ index: Int) throws(FileError) -> Tensor {
    guard let file else { return tensors[index] }
    return try Tensor(shape: shapes[index]) { buffer throws(FileError) in
      try file.read(at: offsets[index], into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  mutating func store(_ tensor: Tensor, at index: Int) throws(FileError) {
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
