# Sound through lame, oggenc and flac, and back.
# seconds: 600
# each: lame vorbis flac
source /programs/support/steps.bash
cd /tmp || exit
seconds=$(size 2 20)
# A chirp with noise, as 16-bit stereo samples with a WAV header.
perl -e '
  my ($rate, $n) = (44100, 44100 * $ARGV[0]); my $seed = 1;
  print "RIFF", pack("V", 36 + $n * 4), "WAVEfmt ", pack("VvvVVvv", 16, 1, 2, $rate, $rate * 4, 4, 16), "data", pack("V", $n * 4);
  for my $i (0 .. $n - 1) {
    $seed = ($seed * 16807) % 2147483647;
    my $t = $i / $rate;
    print pack("vv", int(12000 * sin(2 * 3.14159265 * (200 + 300 * $t) * $t) + $seed % 800) & 0xffff, int(9000 * sin(2764 * $t)) & 0xffff);
  }' "$seconds" >sound.wav
md5sum sound.wav
case $1 in
lame)
  need lame
  for options in '-b 128' '-V 2' '--preset fast standard' '-m m -q 0 -b 64' '--resample 22.05 -a' '-b 192 --noreplaygain -h'; do
    lame --quiet $options sound.wav out.mp3
    echo "[$?] $options"
    md5sum out.mp3
    lame --quiet --decode out.mp3 back.wav
    md5sum back.wav
  done ;;
vorbis)
  need oggenc oggdec
  for options in '-q 3' '-b 96' '-q 10' '--downmix -q 1' '--resample 22050'; do
    oggenc -Q -s 1 $options -o out.ogg sound.wav
    echo "[$?] $options"
    md5sum out.ogg
    oggdec -Q -o back.wav out.ogg
    md5sum back.wav
  done
  ogginfo out.ogg | sed 's/Vendor.*//' | md5sum ;;
flac)
  need flac
  for options in -0 -5 -8 '-8 -e -p' '--lax -l 32 -b 4608'; do
    flac --totally-silent -f $options -o out.flac sound.wav
    echo "[$?] $options"
    md5sum out.flac
    flac --totally-silent -t out.flac
    flac --totally-silent -f -d -o back.wav out.flac
    cmp back.wav sound.wav
  done
  flac -t out.flac 2>&1 | tail -1 ;;
esac
