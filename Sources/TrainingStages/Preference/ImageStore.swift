import Autograd
import Checkpoints
import NN
import PipelineCore
import TensorCore

/// A store of images that are generated once and read many times, with 8 bits per channel, several
/// comparisons per file.
final class ImageStore {
  /// The number of comparisons per file.
  static let blockSize = 64

  private let folder: String?
  private var openFiles: [String: SafetensorsFile] = [:]

  /// - Parameter folder: nil: simulates a complete store of black images, for plans
  init(folder: String?) { self.folder = folder }

  /// Some comparisons of a split in one view, stored in one file.
  struct Block: Hashable {
    let split: String
    let view: PreferenceView
    let pairs: Range<Int>

    /// Returns the blocks of all of a split's comparisons below `count`.
    static func all(_ split: String, _ view: PreferenceView, count: Int) -> [Block] {
      stride(from: 0, to: count, by: blockSize).map {
        Block(split: split, view: view, pairs: $0..<min($0 + blockSize, count))
      }
    }
  }

  private func path(_ split: String, _ view: PreferenceView, pair: Int) -> String {
    "\(folder ?? "")/\(split)-\(view.name)-\(pair / Self.blockSize).safetensors"
  }

  func holds(_ block: Block) -> Bool {
    Folders.exists(path(block.split, block.view, pair: block.pairs.lowerBound))
  }

  /// - Parameter images: the left ones, then the right ones, `[2 pairs, side, side, 3]` in 0...1
  func write(_ images: Tensor, _ block: Block) throws {
    let bytes = try bytes(images, block)
    try writeSafetensors(
      [OutgoingTensor("pictures", type: .u8, shape: images.shape, bytes: { bytes })],
      to: path(block.split, block.view, pair: block.pairs.lowerBound))
  }

  /// Encodes images with 8 bits per channel.
  ///
  /// - Throws: `NonFiniteError`
  func bytes(_ images: Tensor, _ block: Block) throws -> [UInt8] {
    guard
      let bytes = images.withValues({ quantized($0, rounding: .toNearestOrAwayFromZero) })
    else {
      throw NonFiniteError(
        "estimates of \(block.split) \(block.view.name), comparisons from "
          + "\(block.pairs.lowerBound) on", isNaN: true)
    }
    return bytes
  }

  /// Returns the images of comparisons, all left ones, then all right ones.
  ///
  /// - Parameter views: one per comparison
  /// - Returns: `[2 pairs, side, side, 3]` in 0...1
  func images(
    _ split: String, of pairs: [Int], _ views: [PreferenceView], side: Int
  ) throws -> Tensor {
    let size = side * side * 3
    var bytes = [UInt8](repeating: 0, count: size)
    return try Tensor(rows: 2 * pairs.count, of: [side, side, 3]) { row, image in
      guard folder != nil else { return image.update(repeating: 0) }
      let (isRight, index) = row.quotientAndRemainder(dividingBy: pairs.count)
      let pair = pairs[index]
      let file = try file(path(split, views[index], pair: pair))
      let entry = try file.entry("pictures")
      let local = pair % Self.blockSize
      guard entry.type == .u8, entry.shape.count == 4,
        entry.shape == [entry.shape[0], side, side, 3], local < entry.shape[0] / 2
      else {
        throw CheckpointError.malformedTensor(
          path: file.path, tensor: "pictures",
          problem: "\(entry.type.rawValue) \(entry.shape) has no comparison \(local) "
            + "of images \(side) x \(side)")
      }
      let stored = isRight * entry.shape[0] / 2 + local
      try bytes.withUnsafeMutableBytes {
        try file.read("pictures", from: stored * size, into: $0)
      }
      for (offset, byte) in bytes.enumerated() { image[offset] = Float(byte) / 255 }
    }
  }

  /// Opens a file; a header is read once and a few files stay open.
  private func file(_ path: String) throws -> SafetensorsFile {
    if let file = openFiles[path] { return file }
    if openFiles.count >= 256 { openFiles.removeAll() }
    let file = try SafetensorsFile(path: path)
    openFiles[path] = file
    return file
  }
}
