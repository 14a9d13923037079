public import HostResources

/// The memory that a convolution takes from the pool.
public struct ConvolutionMemory {
  /// Layouts of the weights cached until these change, by name, with their sizes.
  public let kept: [(name: String, count: Int)]
  /// What is taken while those are made.
  public let making: WorkingMemory
  public let working: WorkingMemory
}

extension ConvolutionShape {
  /// Returns the memory of ``convolve(_:_:bias:into:_:)`` or
  /// ``convolveUpsampled(_:_:bias:into:_:)``.
  ///
  /// - Parameter isHalf: whether the weights are in half precision
  public func memory(upsamples: Bool, isHalf: Bool) -> ConvolutionMemory {
    let tiles = upsamples ? WinogradTiles(upsampled: self) : WinogradTiles(self)
    let suits = upsamples ? WinogradTiles.suitUpsampled(self) : WinogradTiles.suit(self)
    if suits, tiles.areFaster {
      return tiles.memory(named: upsamples ? "upsampling" : "forward")
    }
    if upsamples {
      let plain = memory(upsamples: false, isHalf: isHalf)
      return ConvolutionMemory(
        kept: plain.kept, making: plain.making,
        working: WorkingMemory([inputCount], then: [plain.working]))
    }
    let padded = border.paddedCount(
      batch, height: height, width: width, channels: inputChannels)
    return directMemory(
      padded, channels: outputChannels,
      [("panels", MatrixPanels.count(rows: kernelRowCount, columns: outputChannels))],
      isHalf: isHalf)
  }

  /// Returns the memory of ``convolveInputGradient(_:_:into:_:)``.
  public func inputGradientMemory(isHalf: Bool) -> ConvolutionMemory {
    let tiles = WinogradTiles(inputGradientOf: self)
    if WinogradTiles.suit(self), tiles.areFaster { return tiles.memory(named: "gradient") }
    let padded = inputGradientBorder.paddedCount(
      batch, height: outputHeight, width: outputWidth, channels: outputChannels)
    let panels = (0..<min(stride, height)).flatMap { y in
      (0..<min(stride, width)).map { x in
        let phase = phase(y: y, x: x)
        let taps = phase.taps(kernelHeight, kernelWidth)
        return (
          name: "phase \(phase.y) \(phase.x)",
          count: MatrixPanels.count(
            rows: taps.height * taps.width * outputChannels, columns: inputChannels)
        )
      }
    }
    return directMemory(padded, channels: inputChannels, panels, isHalf: isHalf)
  }

  /// The memory of ``convolveWeightGradient(_:_:into:_:form:)``.
  public var weightGradientMemory: WorkingMemory {
    guard !WinogradWeightGradient.isFaster(self) else {
      return WinogradWeightGradient.workingMemory(self)
    }
    let padded = border.paddedCount(
      batch, height: height, width: width, channels: inputChannels)
    let channels = paddedOutputChannels
    return WorkingMemory(
      (padded.map { [$0] } ?? [])
        + (channels > outputChannels ? [pixelCount * channels, kernelRowCount * channels] : []))
  }

  var paddedOutputChannels: Int { PanelSource.padded(outputChannels) }
  /// The pixels of the output.
  var pixelCount: Int { batch * outputHeight * outputWidth }
  /// The rows of the weights as a matrix.
  var kernelRowCount: Int { kernelHeight * kernelWidth * inputChannels }

  /// - Parameter channels: those of the result
  private func directMemory(
    _ padded: Int?, channels: Int, _ panels: [(name: String, count: Int)], isHalf: Bool
  ) -> ConvolutionMemory {
    ConvolutionMemory(
      kept: isHalf ? [] : panels, making: WorkingMemory(),
      working: WorkingMemory(
        (padded.map { [$0] } ?? []) + [PanelSource.padded(channels)],
        then: isHalf ? panels.map { WorkingMemory([$0.count]) } : []))
  }
}
