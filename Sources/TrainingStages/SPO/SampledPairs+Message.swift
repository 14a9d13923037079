import PipelineCore
import StepwiseOptimization

// A rank's samples, serialized for the others.
extension SampledPairs {
  var message: [UInt8] {
    var writer = OutputWriter()
    writer.add(pairs) { writer, pair in
      writer.add(pair.timestep)
      writer.add(pair.prompt)
      writer.add(pair.sharesLatent ? 1 : 0)
      for tensor in [pair.win.latent, pair.win.next, pair.lose.next] { writer.add(tensor) }
      if !pair.sharesLatent { writer.add(pair.lose.latent) }
    }
    writer.add(comparisons) { writer, comparison in
      writer.add(comparison.timestep)
      writer.add(comparison.threshold)
      writer.add(comparison.compared)
      writer.add(comparison.kept)
      writer.add(comparison.gapSum)
    }
    writer.add(finalScores)
    return writer.bytes
  }

  init(message: [UInt8]) throws {
    var reader = OutputReader(message)
    self.init()
    pairs = try reader.list { reader throws(BadOutput) in
      let (timestep, prompt) = (try reader.int(), try reader.int())
      let sharesLatent = try reader.int() == 1
      let latent = try reader.tensor()
      let (win, lose) = (try reader.tensor(), try reader.tensor())
      return CandidatePair(
        timestep: timestep, win: .init(latent: latent, next: win),
        lose: .init(latent: sharesLatent ? latent : try reader.tensor(), next: lose),
        sharesLatent: sharesLatent, prompt: prompt)
    }
    comparisons = try reader.list { reader throws(BadOutput) in
      Comparison(
        timestep: try reader.int(), threshold: try reader.double(), compared: try reader.int(),
        kept: try reader.int(), gapSum: try reader.double())
    }
    finalScores = try reader.floats()
  }
}
