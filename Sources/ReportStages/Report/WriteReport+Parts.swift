import Imaging
import PipelineCore

/// Images take nearly all the time, so parts generate these; the merge scores candidates and
/// images.
extension WriteReport: DivisibleStage {}

extension WriteReport: Division {
  func position(of item: ReportWork.Item) -> Int? {
    if case .images(let prompt, _) = item { prompt } else { nil }
  }

  func key(of item: ReportWork.Item) -> String {
    switch item {
    case .images(let prompt, let scale): "prompt \(prompt), guidance \(scale)"
    case .candidates(let batch): "candidates \(batch.draw) of prompts \(batch.prompts)"
    case .scores(let item): "\(item)"
    }
  }

  func write(
    _ output: ReportWork.Output, of item: ReportWork.Item, to writer: inout OutputWriter
  ) {
    guard case .images(let images, _, _) = output else { return }
    writer.add(images) { $0.add($1) }
  }

  func output(
    of item: ReportWork.Item, from reader: inout OutputReader
  ) throws -> ReportWork.Output {
    guard case .images(let prompt, let scale) = item else {
      throw BadOutput("only images are divided")
    }
    let images = try reader.list { reader throws(BadOutput) in try reader.bytes() }
    let expected = settings.picturesPerPrompt * models.count
    guard images.count == expected else {
      throw BadOutput("\(images.count) images instead of \(expected)")
    }
    guard images.allSatisfy({ (try? RGBImage(decoding: $0)) != nil }) else {
      throw BadOutput("an image cannot be decoded")
    }
    return .images(images, prompt: prompt, scale: scale)
  }
}
