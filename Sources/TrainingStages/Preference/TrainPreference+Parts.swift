import Autograd
import Diffusion
import PipelineCore
import PreferenceModels

/// Parts generate the model's images; the merge trains on them.
extension TrainPreference: DivisibleStage {}

extension TrainPreference: Division {
  func position(of item: PreferenceWork.Item) -> Int? {
    if case .images(_, let position) = item { position } else { nil }
  }

  func key(of item: PreferenceWork.Item) -> String {
    switch item {
    case .images(let block, _):
      "\(block.split), \(block.view.name), comparisons \(block.pairs.lowerBound) to "
        + "\(block.pairs.upperBound - 1)"
    case .steps(let steps): "steps \(steps)"
    }
  }

  func write(
    _ output: PreferenceWork.Output, of item: PreferenceWork.Item, to writer: inout OutputWriter
  ) throws {
    guard case .images(let images, let block) = output else { return }
    writer.add(images.shape) { $0.add($1) }
    writer.add(try store.bytes(images, block))
  }

  func output(
    of item: PreferenceWork.Item, from reader: inout OutputReader
  ) throws -> PreferenceWork.Output {
    guard case .images(let block, _) = item else { throw BadOutput("steps are not divided") }
    let shape = try reader.list { reader throws(BadOutput) in try reader.int() }
    let bytes = try reader.bytes()
    let side = try imageSide()
    let expected = [2 * block.pairs.count, side, side, 3]
    guard shape == expected, bytes.count == expected.reduce(1, *) else {
      throw BadOutput("images \(shape) of \(bytes.count) bytes in place of \(expected)")
    }
    return .images(Tensor(bytes.map { Float($0) / 255 }, shape: shape), block)
  }
}
