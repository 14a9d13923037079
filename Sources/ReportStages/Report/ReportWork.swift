import Evaluation
import Files
import HostResources
import Imaging
import PipelineCore
import StageSupport

/// The work of stage `report`: generates images and candidates, has them scored, and writes the
/// page.
final class ReportWork: StageWork {
  enum Item {
    /// All images of a prompt at one guidance, before and after.
    case images(prompt: Int, scale: Int)
    /// One scorer's scores of a prompt's images.
    case scores(PublishedScores.Item)
    /// The candidates of a batch of prompts, sampled once.
    case candidates(WriteReport.CandidateBatch)

    var unitCount: Int {
      if case .candidates(let batch) = self { batch.prompts.count } else { 1 }
    }
  }

  enum Output {
    case images([[UInt8]], prompt: Int, scale: Int)
    case scores([PromptScores], PublishedScores.Item)
    case candidates(CandidateScoring.Batch, WriteReport.CandidateBatch)
  }

  private let report: WriteReport
  private let prompts: [String]
  private let painter: Deferred<Painter>
  private let candidateScoring: Deferred<CandidateScoring>

  init(_ report: WriteReport, _ prompts: [String]) {
    (self.report, self.prompts) = (report, prompts)
    let painter = Deferred(report.makePainter)
    self.painter = painter
    candidateScoring = Deferred { try report.makeCandidateScoring(painter()) }
  }

  func process(_ item: Item) throws -> Output {
    switch item {
    case .images(let prompt, let scale):
      let images = try painter().images(
        of: prompts[prompt], number: prompt, guidance: report.settings.scales[scale])
      return .images(try images.map { try $0.encodedAsPNG() }, prompt: prompt, scale: scale)
    case .candidates(let batch):
      return .candidates(try candidateScoring()(prompts, batch.prompts, draw: batch.draw), batch)
    case .scores(let item):
      // They come last, and may need the memory.
      stopDrawing()
      return .scores(try report.scoring.scores(of: item, prompt: prompts[item.prompt]), item)
    }
  }

  /// Gives the memory of the models that draw to what comes after them.
  private func stopDrawing() {
    guard painter.ifMade != nil else { return }
    candidateScoring.release()
    painter.release()
    BufferPool.shared.releaseFreeBlocks()
  }

  func commit(_ output: Output, of item: Item) throws {
    switch output {
    case .images(let images, let prompt, let scale):
      let count = report.settings.picturesPerPrompt
      for (index, bytes) in images.enumerated() {
        let path = report.files.image(
          prompt, index % count, report.models[index / count], scale: scale)
        try AtomicFile.replace(path, with: bytes)
      }
    case .candidates(let scored, let batch):
      try writeJSON(scored.json, to: report.candidatePath(batch))
    case .scores(let scores, let item): try report.scoring.write(scores, of: item)
    }
  }

  func finish() throws -> WorkSummary {
    stopDrawing()
    try report.write()
    return WorkSummary()
  }
}
